#!/bin/sh
# CGI: POST VALUE to .../db/KEY keeps it, GET .../db/KEY answers with it, GET .../db says who answers.
key=${PATH_INFO#/}
case $key in
  *[!a-z0-9]*) status='400 Bad Request' text='a key is of small letters and digits' ;;
  '') status='200 OK' text="slot $SLOT, release $RELEASE, start $(wc -l </data/.starts)" ;;
  *)
    if [ "$REQUEST_METHOD" = POST ]; then
      # Renamed when it is on disk: a reader sees the old value or the new one, also after a crash.
      new=$(mktemp /data/.new.XXXXXX)
      head -c "${CONTENT_LENGTH:-0}" >"$new"
      sync "$new"
      mv "$new" "/data/$key"
    fi
    if [ -f "/data/$key" ]; then status='200 OK' text=$(cat "/data/$key")
    else status='404 Not Found' text="there is no $key"; fi
    ;;
esac
printf 'Status: %s\r\nContent-Type: text/plain\r\n\r\n%s\n' "$status" "$text"
