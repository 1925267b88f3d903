# achieves: sandbox nameserver 127.0.0.1
echo ACHIEVED $(hostname 2>/dev/null || cat /etc/hostname) $(tr -d '\n' < /etc/resolv.conf)
