// The configuration of a manager's nats-server, as text. Pure.
//
// A client is let in when its certificate is of the cluster and names a node that the store has; what it may do is its role's. Another
// server is let in when its certificate names a manager that the store has. Both are exact names, so a removed node is out as soon as
// the configuration is read again.
import {
  allSubjects,
  clusterSubjects,
  inboxPrefix,
  nodeSubjects,
} from '../../proto/bus/subjects.ts'
import type { NodeId, NodeRole } from '../../proto/objects/index.ts'

export interface BusMember {
  readonly id: NodeId
  readonly role: NodeRole
}

export interface BusManager {
  readonly id: NodeId
  /** An IP address. */
  readonly host: string
  readonly routePort: number
}

export interface BusListen {
  /** An address of this host, or the wildcard. */
  readonly host: string
  readonly clientPort: number
  readonly routePort: number
}

export interface BusPlan {
  readonly self: NodeId
  readonly clusterId: string
  readonly listen: BusListen
  readonly members: readonly BusMember[]
  readonly managers: readonly BusManager[]
}

export interface BusFiles {
  readonly cert: string
  readonly key: string
  readonly ca: string
}

/** Larger messages are not sent: readers fetch the state instead. */
export const payloadBytesMax = 1024 * 1024

/** The same plan gives the same text. */
export function natsConfig(plan: BusPlan, files: BusFiles): string {
  const { self, clusterId, listen, members, managers } = plan
  const routes = managers
    .filter(({ id }) => id !== self)
    .map(({ id, routePort }) => `nats-route://${id}:${routePort}`)
    .sort()
  return `server_name: ${quote(self)}
host: ${quote(listen.host)}
port: ${listen.clientPort}
max_payload: ${payloadBytesMax}
max_pending: 16777216
max_control_line: 4096
max_subscriptions: 4096
write_deadline: "2s"
ping_interval: "5s"
ping_max: 2
logtime: false
${tls(files, 'verify_and_map')}
cluster {
  name: ${quote(clusterId)}
  host: ${quote(listen.host)}
  port: ${listen.routePort}
  advertise: ${quote(`${self}:${listen.routePort}`)}
  no_advertise: true
  ${tls(files, 'verify_cert_and_check_known_urls')}
  routes: [${routes.map(quote).join(', ')}]
}
authorization {
  timeout: 5
  users: [
${[...members].sort(byId).map(user).join('\n')}
  ]
}
`
}

/** What the server takes for /etc/hosts: it knows the other managers by their certified names, wherever they are. */
export function natsHosts(managers: readonly BusManager[]): string {
  const lines = [...managers].sort(byId).map(({ id, host }) => `${host} ${id}`)
  return `${['127.0.0.1 localhost', '::1 localhost', ...lines].join('\n')}\n`
}

function user({ id, role }: BusMember): string {
  const inbox = `${inboxPrefix(id)}.>`
  const isManager = role === 'manager'
  const publish = isManager ? [allSubjects, '_INBOX.>'] : [inbox]
  const subscribe = isManager ? [allSubjects, inbox] : [clusterSubjects, nodeSubjects(id), inbox]
  const permissions = `publish: ${list(publish)}, subscribe: ${list(subscribe)}`
  return `    {user: ${quote(id)}, permissions: {${permissions}}}`
}

function tls({ cert, key, ca }: BusFiles, verify: string): string {
  const files = `cert_file: ${quote(cert)}, key_file: ${quote(key)}, ca_file: ${quote(ca)}`
  return `tls {${files}, ${verify}: true, timeout: 5}`
}

function list(texts: readonly string[]): string {
  return `[${texts.map(quote).join(', ')}]`
}

/** Of ids, addresses and paths, which have no quotes in them. */
function quote(text: string): string {
  return JSON.stringify(text)
}

function byId(a: { readonly id: NodeId }, b: { readonly id: NodeId }): number {
  return a.id < b.id ? -1 : 1
}
