#!/bin/sh
# CGI: POST adds a line, GET answers with all of them.
printf 'Content-Type: text/plain\r\n\r\n'
[ "$REQUEST_METHOD" != POST ] || { head -c "$CONTENT_LENGTH"; echo; } >>/notes/notes.txt
cat /notes/notes.txt 2>/dev/null
