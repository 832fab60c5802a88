#!/bin/sh
# CGI: takes an order (POST item=tea&count=2), shows one (GET .../orders/1) or all of them (GET .../orders).
store="http://orders:$(cat /run/secrets/store_password)@store/cgi-bin/store"

answer() {
  printf 'Status: %s\r\nContent-Type: text/plain\r\n\r\n%s\n' "$1" "$2"
  exit
}
field() { echo "$form" | tr '&' '\n' | sed -n "s/^$1=//p"; }

if [ "$REQUEST_METHOD" = GET ]; then
  found=$(timeout 5 wget -q -O - "$store$PATH_INFO") || answer '502 Bad Gateway' 'the store does not answer'
  [ -n "$found" ] || [ -z "$PATH_INFO" ] || answer '404 Not Found' "there is no order ${PATH_INFO#/}"
  answer '200 OK' "$found"
fi

form=$(head -c "${CONTENT_LENGTH:-0}")
item=$(field item)
count=$(field count)
case $count in
  [1-9] | [1-9][0-9]) ;;
  *) answer '400 Bad Request' 'count must be from 1 to 99' ;;
esac
goods=$(timeout 5 wget -q -O - http://catalogue/cgi-bin/goods) || answer '502 Bad Gateway' 'the catalogue does not answer'
total=$(echo "$goods" | awk -v item="$item" -v count="$count" '$1 == item { printf "%.2f", $2 * count }')
[ -n "$total" ] || answer '404 Not Found' 'there is no such item'
number=$(timeout 5 wget -q -O - --post-data "$count $item $total" "$store") || answer '502 Bad Gateway' 'the store does not answer'
answer '201 Created' "order $number: $count $item, $total"
