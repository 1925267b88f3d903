# More processes at work than processors, each as nice as can be.
# ends: timed_out
# timeout: 3
echo MARKER
for n in 1 2 3 4 5 6 7 8 9 10 11 12; do (while :; do :; done) & done
while :; do :; done
