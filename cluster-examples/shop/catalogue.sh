#!/bin/sh
# CGI: what there is to buy, and for how much.
printf 'Content-Type: text/plain\r\n\r\n'
exec cat /goods.txt
