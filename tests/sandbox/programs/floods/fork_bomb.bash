# ends: timed_out | exited
# timeout: 2
echo MARKER; f() { f | f & }; f; wait; sleep 60
