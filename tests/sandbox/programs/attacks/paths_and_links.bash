# Links, hard links, moved folders and long ways up, to write where a job may not.
ln /etc/passwd hard 2>/dev/null && (echo x >> hard) 2>/dev/null && echo ACHIEVED hard
ln -s / root; for path in root/etc/x root/usr/bin/x root/dev/x root/proc/sys/kernel/core_pattern ../../../../../etc/x /proc/self/root/etc/x /proc/self/cwd/../etc/x; do
    (echo x > $path) 2>/dev/null && echo ACHIEVED $path
done
(cd / && mv job moved) 2>/dev/null && echo ACHIEVED moved
(rm -rf /job /tmp /dev/shm) 2>/dev/null; for folder in /job /tmp /dev/shm; do [ -d $folder ] || echo ACHIEVED removed $folder; done
mkdir -p /tmp/again && cd /tmp/again
