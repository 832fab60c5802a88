// Limits that a process can have (man 2 setrlimit), by the names of Docker's --ulimit.

export const ulimitNames: readonly string[] = (
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending ' +
  'stack'
).split(' ')
