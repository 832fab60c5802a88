#!/bin/sh
# CGI: says which version answers. The version "broken" starts like any other, and fails every request.
[ "$VERSION" != broken ] || printf 'Status: 500 Internal Server Error\r\n'
printf 'Content-Type: text/plain\r\n\r\nversion %s, %s\n' "$VERSION" "$TASK"
