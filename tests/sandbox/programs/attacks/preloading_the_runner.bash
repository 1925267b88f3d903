# Code that the runner or the next interpreter would load: by the linker, by Python's path, by a folder of modules.
for file in /etc/ld.so.preload /etc/ld.so.cache /usr/lib/python3.11/sitecustomize.py /usr/lib/python3.11/usercustomize.py /usr/lib/python3/dist-packages/x.pth \
    /usr/lib/python3/dist-packages/fleet_sandbox/runner.py /usr/lib/python3/dist-packages/fleet_sandbox/__pycache__/x /usr/local/bin/python3 /usr/bin/python3 /bin/bash \
    /usr/local/bin/node /usr/local/lib/node_modules/x /lib/x86_64-linux-gnu/libc.so.6 /etc/bash.bashrc /etc/profile /proc/1/environ /proc/1/exe; do
    there=; [ -e $file ] && there=yes
    (printf x >> $file) 2>/dev/null && echo ACHIEVED $file
    (rm -f $file) 2>/dev/null; [ -n "$there" ] && [ ! -e $file ] && echo ACHIEVED removed $file
done
