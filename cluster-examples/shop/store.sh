#!/bin/sh
# CGI: keeps each order in a file of its number. POST answers with the number, GET .../store/1 with that order or with
# nothing, GET .../store with all.
printf 'Content-Type: text/plain\r\n\r\n'
cd /orders || exit
case $REQUEST_METHOD$PATH_INFO in
  POST)
    new=$(mktemp .new.XXXXXX)
    head -c "$CONTENT_LENGTH" >"$new"
    sync "$new"
    # A link is there whole or not at all, and two orders at a time never get one number.
    number=1
    until ln "$new" "$number" 2>/dev/null; do number=$((number + 1)); done
    rm "$new"
    echo "$number"
    ;;
  GET) for number in $(ls | sort -n); do echo "$number $(cat "$number")"; done ;;
  # A number, and not a path out of here.
  GET/*[!0-9]* | GET/) ;;
  GET/*) cat "${PATH_INFO#/}" 2>/dev/null ;;
esac
