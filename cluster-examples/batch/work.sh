#!/bin/sh
# Counts the primes up to the number in line SLOT + 1 of the list.
item=$(sed -n "$((SLOT + 1))p" /items.txt)
[ -n "$item" ] || { echo "the list has no line $((SLOT + 1))"; exit 1; }
primes=$(awk -v upto="$item" 'BEGIN {
  for (n = 2; n <= upto; n++) {
    if (n in composite) continue
    count++
    for (m = n * n; m <= upto; m += n) composite[m]
  }
  print count
}')
echo "$primes primes up to $item"
# Delivered under the slot: should the task be tried again after this, it overwrites its own result only. When nobody
# takes it, the task has failed.
exec timeout 5 wget -q -O /dev/null --post-data "$item $primes" "http://results/cgi-bin/results/$SLOT"
