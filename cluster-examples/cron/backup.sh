#!/bin/sh
# One run: a copy named after the time, and only the last five are kept. Fails, and is tried again, when there is no answer.
set -e
cd /backups
timeout 5 wget -q -O .new http://notes/
name=notes-$(date -u +%Y%m%dT%H%M%SZ).txt
mv .new "$name"
echo "$name: $(wc -l <"$name") notes"
ls | sort -r | sed 1,5d | xargs rm -f
