# ends: timed_out | exited
# timeout: 3
echo MARKER; f() { f | f & }; f; wait; sleep 60
