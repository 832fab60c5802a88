// How many connections the kernel follows at once. By default it drops new ones at a number that a busy mesh reaches, the
// same for every namespace of the host, and only the host's own namespace may raise it.
import { totalmem } from 'node:os'
import type { Logger } from '../../proto/lib/log.ts'
import type { Kernel } from './kernel.ts'

export interface ConntrackSize {
  /** Connections that are followed in each namespace. */
  readonly max: number
  /** Of the hash table they all share. */
  readonly buckets: number
}

const wishedMax = 1_048_576
/** An entry with its extensions, rounded up. */
const entryBytes = 400
/** Full tables of one namespace take no more of the host than this. */
const memoryShare = 1 / 16
/** As the kernel's own default of 4 entries a bucket. */
const entriesPerBucket = 4

/** What a host with so much memory should have; never less than it has. */
export function wishedConntrack(memoryBytes: number, now: ConntrackSize): ConntrackSize {
  const fitting = Math.floor((memoryBytes * memoryShare) / entryBytes)
  const max = Math.max(now.max, Math.min(wishedMax, fitting))
  const buckets = max === now.max ? now.buckets : Math.ceil(max / entriesPerBucket)
  return { max, buckets: Math.max(now.buckets, buckets) }
}

const folder = '/proc/sys/net/netfilter'
const maxFile = `${folder}/nf_conntrack_max`
const bucketsFile = `${folder}/nf_conntrack_buckets`

/** Raises it where that is allowed, and else warns once. Never lowers it: it may be somebody's choice. */
export async function sizeConntrack(
  kernel: Pick<Kernel, 'run'>,
  log: Logger,
  memoryBytes = totalmem(),
): Promise<void> {
  const read = await kernel.run('host', ['cat', maxFile, bucketsFile])
  const [max, buckets] = read.stdout.trim().split('\n').map(Number)
  if (read.code !== 0 || max === undefined || buckets === undefined) {
    log.warn({ err: read.stderr.trim() }, 'cannot tell how many connections the kernel follows')
    return
  }
  const wished = wishedConntrack(memoryBytes, { max, buckets })
  if (wished.max === max) return
  const script = `echo ${wished.buckets} >${bucketsFile} && echo ${wished.max} >${maxFile}`
  const written = await kernel.run('host', ['sh', '-c', script])
  if (written.code === 0) {
    log.info({ before: max, max: wished.max }, 'the kernel follows more connections')
    return
  }
  const remedy = `set net.netfilter.nf_conntrack_max=${wished.max} on the machine itself`
  log.warn(
    { max, remedy, err: written.stderr.trim() },
    'the kernel follows few connections, and this is not the namespace that may change it',
  )
}
