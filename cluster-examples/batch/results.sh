#!/bin/sh
# CGI: POST .../results/SLOT keeps a line, GET .../results answers with all lines.
printf 'Content-Type: text/plain\r\n\r\n'
mkdir -p /tmp/results
case $REQUEST_METHOD$PATH_INFO in
  GET) cat /tmp/results/* 2>/dev/null ;;
  POST/*[!0-9]*) ;;
  POST/*)
    head -c "$CONTENT_LENGTH" >"/tmp/results/${PATH_INFO#/}"
    echo >>"/tmp/results/${PATH_INFO#/}"
    ;;
esac
