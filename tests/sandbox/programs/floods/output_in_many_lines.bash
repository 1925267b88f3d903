# ends: output_limit | timed_out
# timeout: 8
echo MARKER
yes "$(printf '\033[31mred\033[0m\r')"
