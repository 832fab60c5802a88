#!/bin/sh
# Notes each start where the data is, then serves.
echo "slot $SLOT, release $RELEASE" >>/data/.starts
echo "db: slot $SLOT, release $RELEASE, start $(wc -l </data/.starts), $(ls /data | wc -l) keys"
cp /cgi/db /www/cgi-bin/
exec /bin/serve
