# achieves: none
ln -s /etc/passwd p; ln -s /proc/1/fd/1 q; (echo x > p) 2>/dev/null && r=passwd; (echo x > q) 2>/dev/null && r=$r,fd; echo ACHIEVED none$r
