// The resolver program of a node. It outlives the daemon, which starts it, tells it the names, and finds it again:
//   dns-main.js CONFIG              listens, and serves until it is told to stop
//   dns-main.js successor CONFIG    the same with the sockets and names that its parent sends
//   dns-main.js bind ADDRESS        makes the sockets for a process of another namespace
// Not for the command line.
import { Socket as UdpSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { Server as TcpServer } from 'node:net'
import { getPriority, setPriority } from 'node:os'
import { systemClock } from '../../../proto/lib/clock.ts'
import { systemRandom } from '../../../proto/lib/random.ts'
import { pidFile, type ResolverConfig } from './control-messages.ts'
import { bindMode, handBackSockets, listen, listenIn } from './listen.ts'
import { NodeResolver } from './node-resolver.ts'
import { successorMode } from './resolver-argv.ts'
import { type HandOverMessage, readyMessage, servingMessage } from './successor.ts'

/** Of the processor three times the share of others, of which it needs a twentieth: askers give up after seconds. Source: sched(7). */
const niceness = -5

const linesMax = 1_000
let lines = 0

/** Standard error is a file in memory: what it holds is bounded. */
function say(text: string): void {
  lines += 1
  if (lines <= linesMax) process.stderr.write(`${text}\n`)
}

function createResolver(config: ResolverConfig): NodeResolver {
  const resolver = new NodeResolver({
    config,
    clock: systemClock,
    random: systemRandom,
    onError: (err) => say(err.stack ?? err.message),
    onEnd: () => setImmediate(() => process.exit(0)),
  })
  process.on('SIGTERM', () => resolver.close())
  // Whatever it was, names are still known and asked for.
  process.on('uncaughtException', (err) => say(err.stack ?? err.message))
  return resolver
}

/** Within its group of processes and, where the kernel shares out the processor among sessions, among those: this is one of its own. */
function goFirst(): void {
  // Not after the daemon, where that was started to go before others itself.
  const own = Math.min(getPriority(), niceness)
  try {
    setPriority(own)
    writeFileSync('/proc/self/autogroup', `${own}`)
  } catch {
    // This host lets nobody go first, or knows no such groups.
  }
}

async function serve(config: ResolverConfig): Promise<void> {
  const resolver = createResolver(config)
  const { listenNamespaceFile: file } = config
  const { udp, tcp } =
    file === undefined ? await listen(config) : await listenIn(file, config, systemClock)
  resolver.serve(udp, tcp)
  await announce(resolver, config)
}

async function announce(resolver: NodeResolver, config: ResolverConfig): Promise<void> {
  await resolver.listenForControl()
  writeFileSync(pidFile(config.dir), `${process.pid}`)
}

function succeed(config: ResolverConfig): void {
  const resolver = createResolver(config)
  let udp: UdpSocket | undefined
  process.on('message', (message: HandOverMessage, handle) => {
    switch (message.kind) {
      case 'names':
        resolver.apply(message.changes)
        return
      case 'stamp':
        resolver.reached(message.stamp)
        return
      case 'udp':
        if (!(handle instanceof UdpSocket)) return
        udp = handle
        // At once: datagrams already come in.
        resolver.server.serveUdp(udp)
        return
      case 'tcp':
        if (!(handle instanceof TcpServer)) return
        resolver.server.serveTcp(handle)
        announce(resolver, config).then(() => process.send?.(servingMessage), end)
        return
      case 'late': {
        const { base64, address, port } = message
        resolver.sendLate({ bytes: Buffer.from(base64, 'base64'), address, port })
        return
      }
    }
  })
  process.send?.(readyMessage)
}

function end(err: unknown): void {
  process.stderr.write(`fatal: ${err instanceof Error ? err.message : String(err)}\n`)
  process.exit(1)
}

// Signals of a terminal concern the daemon.
process.on('SIGHUP', () => {})
process.on('SIGINT', () => {})

const [mode = '', text = ''] = process.argv.slice(2)
if (mode !== bindMode) goFirst()
if (mode === bindMode) handBackSockets(text).catch(end)
else if (mode === successorMode) succeed(JSON.parse(text))
else serve(JSON.parse(mode)).catch(end)
