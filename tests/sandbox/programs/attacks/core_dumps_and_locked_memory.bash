# achieves: 0 1024
ulimit -c unlimited 2>/dev/null && echo raised; echo ACHIEVED $(ulimit -c) $(ulimit -n)
