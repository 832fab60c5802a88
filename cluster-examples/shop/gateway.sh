#!/bin/sh
# CGI: hands a request on as it is and the answer back as it is, status included.
case $SCRIPT_NAME in
  /cgi-bin/goods) service=catalogue ;;
  /cgi-bin/orders) service=orders ;;
  *) service=web ;;
esac
length=${CONTENT_LENGTH:-0}
{
  printf '%s %s HTTP/1.0\r\nHost: %s\r\nContent-Length: %s\r\n\r\n' \
    "$REQUEST_METHOD" "$SCRIPT_NAME$PATH_INFO" "$service" "$length"
  head -c "$length"
} | nc -w 10 "$service" 80 ||
  printf 'Status: 502 Bad Gateway\r\nContent-Type: text/plain\r\n\r\n%s does not answer\n' "$service"
