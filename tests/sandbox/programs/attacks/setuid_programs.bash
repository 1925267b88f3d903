# achieves: 0
echo ACHIEVED $(find / -xdev -perm /6000 -type f 2>/dev/null | wc -l)
