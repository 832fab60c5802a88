#!/bin/sh
# CGI: the page of the shop.
goods=$(timeout 5 wget -q -O - http://catalogue/cgi-bin/goods) || {
  printf 'Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nthe catalogue does not answer\n'
  exit
}
printf 'Content-Type: text/html\r\n\r\n'
echo "<!doctype html><title>$SHOP</title><h1>$SHOP</h1>"
echo "$goods" | while read -r item price; do
  echo "<form method=post action=/cgi-bin/orders>$item, $price"
  echo "<input type=hidden name=item value=$item><input name=count value=1 size=2><button>Order</button></form>"
done
echo '<a href=/cgi-bin/orders>All orders</a>'
