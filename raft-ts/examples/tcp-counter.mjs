// One member of a counter cluster over TCP with mutual TLS. Run one process a member:
//
//   node tcp-counter.mjs ID DIRECTORY CERTIFICATES a=127.0.0.1:7001 b=127.0.0.1:7002 c=127.0.0.1:7003
//
// CERTIFICATES holds ca.pem, and for each member ID.pem and ID.key, whose common name is the id. Commands come
// as lines on standard input, answers are lines of JSON on standard output:
//
//   add N    adds to the counter; only the leader can        get       a linearizable read, on any member
//   voter ID adds a voter that runs                           stop      hands over and ends
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { plainStateMachine, startMember, TcpNetwork } from 'raft-ts/node'

const [id, directory, certificates, ...members] = process.argv.slice(2)
const addresses = new Map(
  members.map((text) => {
    const [, name, host, port] = /^(.+)=(.+):(\d+)$/.exec(text) ?? []
    return [name, { host, port: Number(port) }]
  }),
)
const listen = addresses.get(id)
if (listen === undefined || !certificates) {
  console.error('usage: tcp-counter.mjs ID DIRECTORY CERTIFICATES ID=HOST:PORT...')
  process.exit(2)
}
const pem = (name) => readFileSync(join(certificates, name), 'utf8')
const print = (value) => console.log(JSON.stringify(value))

const network = new TcpNetwork({
  listen,
  // Where members live is not Raft's: here from the command line, elsewhere from a registry or the replicated state.
  addressOf: (peer) => addresses.get(peer),
  security: {
    cert: pem(`${id}.pem`),
    key: pem(`${id}.key`),
    ca: pem('ca.pem'),
    verifyPeer: (peer, certificate) => certificate.subject.CN === peer,
  },
  onNote: ({ kind, facts }) => console.error(kind, facts),
})

let value = 0
const member = await startMember({
  id,
  directory,
  network,
  // The first three found the cluster; a later one is added with `voter`.
  voters: [...addresses.keys()].slice(0, 3),
  stateMachine: plainStateMachine({
    apply: (data) => {
      value += Number(Buffer.from(data).toString())
      return value
    },
    snapshot: () => Buffer.from(String(value)),
    restore: (bytes) => {
      value = Number(Buffer.from(bytes).toString())
    },
  }),
  onLeadership: ({ role, leader, term }) => print({ role, leader, term }),
  // It takes no part any more: end, and be started again by whoever watches this process.
  onFailed: (err) => {
    console.error(err)
    process.exit(1)
  },
})

const commands = {
  add: (amount) => member.propose(Buffer.from(String(Number(amount)))),
  get: () => member.read(() => value),
  voter: (other) => member.addVoter(other),
}
for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = line.split(' ')
  if (name === 'stop') break
  print((await commands[name]?.(argument)) ?? { kind: 'unknown command' })
}
await member.stop()
process.stdin.destroy() // an open pipe would keep this process alive
