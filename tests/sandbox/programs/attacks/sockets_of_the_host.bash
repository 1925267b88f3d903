# achieves: 0 0
echo ACHIEVED $(find / -xdev -type s 2>/dev/null | wc -l) $(ls /var/run/docker.sock /run/fleet 2>/dev/null | wc -l)
