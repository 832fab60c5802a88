#!/bin/sh
# Creates the service "hello": three replicas, each on a node of its own, port 8080 of that node leads to it.
# More flags may follow, as in `create.sh --replicas 2` on a cluster of two nodes.
exec tsswarm service create --name hello --replicas 3 --replicas-max-per-node 1 \
  --env 'NODE={{.Node.Hostname}}' --env 'TASK={{.Task.Name}}' \
  --publish mode=host,published=8080,target=80 "$@" lab/hello
