#!/bin/sh
# Puts the results together. What it prints is kept with its task: `service logs`.
lines=$(timeout 5 wget -q -O - http://results/cgi-bin/results) || exit 1
echo "$lines" | sort -n | while read -r item primes; do echo "up to $item: $primes primes"; done
echo "$(echo "$lines" | wc -l) results"
