# achieves: none
r=; for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches /sys/kernel/uevent_helper /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; do
(echo 1 > $f) 2>/dev/null && r="$r $f"
done
echo ACHIEVED none$r
