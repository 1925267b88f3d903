# Programs that change users, and files that say who may.
for program in su sudo newuidmap newgidmap pkexec mount umount ping fusermount at crontab passwd gpasswd; do
    path=$(command -v $program) && [ -u "$path" -o -g "$path" ] && echo ACHIEVED $path
done
for file in /etc/shadow /etc/gshadow /etc/sudoers /root /etc/ssl/private; do [ -r $file ] && [ $file != /root -o -w /root ] && echo ACHIEVED $file; done
for file in /etc/passwd /etc/group /etc/subuid /etc/ld.so.preload /etc/ld.so.conf /etc/hosts /etc/resolv.conf; do (echo x >> $file) 2>/dev/null && echo ACHIEVED wrote $file; done
