// The numbers of users and groups that containers with a user namespace have on the host: one range for all of a node's. Pure.
import { SwarmError } from '../../../proto/errors.ts'

/** 0 inside is `uid` (`gid`) outside, and so on for `size` numbers. */
export interface IdMapping {
  readonly uid: number
  readonly gid: number
  readonly size: number
}

export interface OwnerIds {
  readonly uid: number
  readonly gid: number
}

/** Files of the host that say who has which numbers. */
export interface IdFiles {
  readonly passwd: string
  readonly group: string
  readonly subuid: string
  readonly subgid: string
}

/** Whose entries in /etc/subuid and /etc/subgid count. */
const rangeOwner = 'tsswarm'
const sizeUsual = 65_536
/** Below are accounts of hosts and images; also what systemd's dynamic users have. */
const startMin = 65_536
const endMax = 2 ** 32 - 1
/** What the kernel shows of numbers that are not in the range. */
const overflowId = 65_534

/**
 * Where the host gives `tsswarm` no range. Above what useradd hands out (600,100,000), systemd-nspawn takes (1,879,048,191)
 * and SSSD makes of a directory's users (2,000,200,000), below systemd's foreign range (2,147,352,576).
 * Source: login.defs(5), systemd's UIDS-GIDS, sssd-ad(5).
 */
export const ownRange: IdMapping = { uid: 2_100_000_000, gid: 2_100_000_000, size: sizeUsual }

export type RemapSetting = 'off' | 'auto' | IdMapping

/** `off`, `auto` (or `default`, as Docker says), or `UID:GID:SIZE`. Errors: Error saying what it may be. */
export function parseUsernsRemap(text: string): RemapSetting {
  if (text === 'off') return 'off'
  if (text === 'auto' || text === 'default') return 'auto'
  const [, uidText, gidText, sizeText] = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  if (uidText === undefined) {
    throw new Error('must be off, auto or UID:GID:SIZE, such as 200000:200000:65536')
  }
  const mapping = { uid: Number(uidText), gid: Number(gidText), size: Number(sizeText) }
  const { uid, gid, size } = mapping
  if (size < sizeUsual) {
    throw new Error(`must have ${sizeUsual} numbers or more: images have users up to 65535`)
  }
  if (Math.min(uid, gid) < startMin) {
    throw new Error(`must begin at ${startMin} or above: numbers below are accounts of the host`)
  }
  if (Math.max(uid, gid) + size > endMax) throw new Error(`must end below ${endMax}`)
  return mapping
}

/** The range in force; undefined: containers have no user namespace. Errors: HOST_UNFIT for one that somebody else has. */
export function resolveRemap(setting: RemapSetting, files: IdFiles): IdMapping | undefined {
  if (setting === 'off') return undefined
  const given = setting === 'auto' ? grantedRange(files) : setting
  const mapping = given ?? ownRange
  refuseTaken(mapping.uid, mapping.size, 'uid', files)
  refuseTaken(mapping.gid, mapping.size, 'gid', files)
  return mapping
}

interface Range {
  readonly owner: string
  readonly start: number
  readonly size: number
}

/** What /etc/subuid and /etc/subgid give `tsswarm`, if both give enough. */
function grantedRange({ subuid, subgid }: IdFiles): IdMapping | undefined {
  const [users, groups] = [subuid, subgid].map((text) =>
    ranges(text).find(({ owner, size }) => owner === rangeOwner && size >= sizeUsual),
  )
  if (users === undefined || groups === undefined) return undefined
  return { uid: users.start, gid: groups.start, size: sizeUsual }
}

/** Processes of containers could do to theirs what is theirs alone. */
function refuseTaken(
  start: number,
  size: number,
  kind: 'uid' | 'gid',
  { passwd, group, subuid, subgid }: IdFiles,
): void {
  const [accounts, granted, file] =
    kind === 'uid' ? [passwd, subuid, '/etc/subuid'] : [group, subgid, '/etc/subgid']
  const end = start + size
  const other = ranges(granted).find(
    (one) => one.owner !== rangeOwner && one.start < end && start < one.start + one.size,
  )
  if (other !== undefined) throw taken(start, size, `${file} gives some of them to ${other.owner}`)
  for (const line of accounts.split('\n')) {
    const [name = '', , idText = ''] = line.split(':')
    const id = Number(idText)
    if (idText === '' || id < start || id >= end) continue
    throw taken(start, size, `${kind === 'uid' ? 'user' : 'group'} ${name} has ${id}`)
  }
}

function taken(start: number, size: number, why: string): SwarmError {
  return new SwarmError(
    'HOST_UNFIT',
    `containers cannot have the numbers ${start} to ${start + size - 1} of this host: ${why}. Set usernsRemap to a range ` +
      'that nobody has (UID:GID:SIZE), or to off',
  )
}

function ranges(text: string): readonly Range[] {
  return text.split('\n').flatMap((line) => {
    const [owner = '', start = '', size = ''] = line.trim().split(':')
    if (owner === '' || owner.startsWith('#') || !/^\d+$/.test(start) || !/^\d+$/.test(size))
      return []
    return [{ owner, start: Number(start), size: Number(size) }]
  })
}

/** On the host. Undefined for a number that is not in the range. */
export function hostIds({ uid, gid, size }: IdMapping, inside: OwnerIds): OwnerIds | undefined {
  if (inside.uid >= size || inside.gid >= size) return undefined
  return { uid: uid + inside.uid, gid: gid + inside.gid }
}

/** As the container sees them; what is not in the range belongs to nobody there. */
export function insideIds({ uid, gid, size }: IdMapping, host: OwnerIds): OwnerIds {
  return { uid: insideId(uid, size, host.uid), gid: insideId(gid, size, host.gid) }
}

/** One number of a range that begins there. */
export function insideId(start: number, size: number, id: number): number {
  return id >= start && id < start + size ? id - start : overflowId
}
