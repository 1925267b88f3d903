# achieves: none
r=; for d in / /etc /usr /usr/local/bin /var /var/tmp /run /dev /proc /sys /home /opt /mnt /sys/fs/cgroup/memory; do
(: > $d/x) 2>/dev/null && r="$r $d"
done
echo ACHIEVED none$r
