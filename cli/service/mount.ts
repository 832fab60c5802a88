// --mount type=volume,source=data,target=/data
// Source: the keys of Docker's --mount (swarm-semantics 2, ContainerSpec.Mounts, and 3.1, data).
import type { MountSpec } from '../../proto/spec/service-spec.ts'
import { parseBytes } from '../units.ts'
import { csvFields } from './csv.ts'

type Draft = { -readonly [K in keyof MountSpec]: MountSpec[K] }

const keys =
  'type, source (src), target (dst), readonly (ro), consistency, bind-propagation, bind-create-src, bind-recursive, ' +
  'volume-nocopy, volume-label, volume-driver, volume-opt, volume-subpath, volume-affinity, tmpfs-size, tmpfs-mode'

const absentKeys: Readonly<Record<string, string>> = {
  'image-subpath': 'images cannot be mounted',
  'cluster-volume': 'volumes are folders of one node',
}

/** Errors: Error whose text says which field is wrong and what is right. */
export function parseMount(text: string): MountSpec {
  const draft: Draft = {
    kind: 'volume',
    source: '',
    target: '',
    readOnly: false,
    consistency: '',
    bindPropagation: '',
    bindCreate: false,
    bindNonRecursive: false,
    readOnlyNonRecursive: false,
    readOnlyForceRecursive: false,
    volumeNoCopy: false,
    volumeLabels: {},
    volumeDriver: '',
    volumeOptions: {},
    volumeSubpath: '',
    volumeAffinity: '',
    tmpfsSizeBytes: 0,
    tmpfsMode: 0,
  }
  for (const { key, value } of csvFields(text)) setField(draft, key, value)
  if (draft.target === '') throw new Error('target is required')
  checkKind(draft)
  return draft
}

function setField(draft: Draft, key: string, value: string | undefined): void {
  switch (key) {
    case 'readonly':
    case 'ro':
      draft.readOnly = truth(key, value)
      return
    case 'bind-create-src':
      draft.bindCreate = truth(key, value)
      return
    case 'bind-nonrecursive':
      draft.bindNonRecursive = truth(key, value)
      return
    case 'volume-nocopy':
      draft.volumeNoCopy = truth(key, value)
      return
    default:
      setText(draft, key, value)
  }
}

function setText(draft: Draft, key: string, value: string | undefined): void {
  const reason = Object.hasOwn(absentKeys, key) ? absentKeys[key] : undefined
  if (reason !== undefined) {
    throw new Error(`field "${key}" is not available in this version: ${reason}`)
  }
  if (value === undefined) throw new Error(`field "${key}" must be key=value; the keys are ${keys}`)
  switch (key) {
    case 'type':
      draft.kind = mountKind(value)
      return
    case 'source':
    case 'src':
      draft.source = value
      return
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = value
      return
    case 'consistency':
      draft.consistency = consistency(value)
      return
    case 'bind-propagation':
      draft.bindPropagation = propagation(value)
      return
    case 'bind-recursive':
      setRecursion(draft, value)
      return
    case 'tmpfs-size':
      draft.tmpfsSizeBytes = parseBytes(value)
      return
    case 'tmpfs-mode':
      draft.tmpfsMode = octal(value)
      return
    default:
      setVolume(draft, key, value)
  }
}

function setVolume(draft: Draft, key: string, value: string): void {
  switch (key) {
    case 'volume-label':
      draft.volumeLabels = { ...draft.volumeLabels, ...pair(value, '') }
      return
    case 'volume-driver':
      draft.volumeDriver = value
      return
    case 'volume-opt':
      draft.volumeOptions = { ...draft.volumeOptions, ...pair(value, undefined) }
      return
    case 'volume-subpath':
      draft.volumeSubpath = value
      return
    case 'volume-affinity':
      draft.volumeAffinity = affinity(value)
      return
    default:
      throw new Error(`unexpected key "${key}"; the keys are ${keys}`)
  }
}

/** `name=value`; a name alone has the value that is given, if any. */
function pair(text: string, alone: string | undefined): Readonly<Record<string, string>> {
  const at = text.indexOf('=')
  const name = at === -1 ? text : text.slice(0, at)
  const value = at === -1 ? alone : text.slice(at + 1)
  if (name === '' || value === undefined) throw new Error(`"${text}" must be NAME=value`)
  return { [name]: value }
}

function affinity(value: string): MountSpec['volumeAffinity'] {
  if (value === 'slot' || value === 'none') return value
  throw new Error('volume-affinity must be slot or none')
}

/** Source: Docker's bind-recursive. */
function setRecursion(draft: Draft, value: string): void {
  switch (value) {
    case 'enabled':
      return
    case 'disabled':
      draft.bindNonRecursive = true
      return
    case 'writable':
      draft.readOnlyNonRecursive = true
      return
    case 'readonly':
      draft.readOnlyForceRecursive = true
      return
    default:
      throw new Error('bind-recursive must be enabled, disabled, writable or readonly')
  }
}

function mountKind(value: string): MountSpec['kind'] {
  const kind = value.toLowerCase()
  if (kind === 'bind' || kind === 'volume' || kind === 'tmpfs') return kind
  throw new Error(`type "${value}" is not available: it may be bind, volume or tmpfs`)
}

function propagation(value: string): MountSpec['bindPropagation'] {
  const known = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'] as const
  const found = known.find((word) => word === value)
  if (found === undefined) throw new Error(`bind-propagation must be one of ${known.join(', ')}`)
  return found
}

function consistency(value: string): MountSpec['consistency'] {
  const known = ['default', 'consistent', 'cached', 'delegated'] as const
  const found = known.find((word) => word === value)
  if (found === undefined) throw new Error(`consistency must be one of ${known.join(', ')}`)
  return found
}

function octal(value: string): number {
  if (!/^[0-7]{1,4}$/.test(value)) throw new Error('tmpfs-mode must be octal, such as 1777')
  return Number.parseInt(value, 8)
}

function truth(key: string, value: string | undefined): boolean {
  if (value === undefined || value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw new Error(`${key} must be true or false`)
}

function checkKind(mount: MountSpec): void {
  const { readOnlyNonRecursive, readOnlyForceRecursive } = mount
  const foreign: readonly (readonly [string, boolean, MountSpec['kind']])[] = [
    ['bind-propagation', mount.bindPropagation !== '', 'bind'],
    ['bind-create-src', mount.bindCreate, 'bind'],
    ['bind-recursive', mount.bindNonRecursive, 'bind'],
    ['bind-recursive', readOnlyNonRecursive || readOnlyForceRecursive, 'bind'],
    ['volume-nocopy', mount.volumeNoCopy, 'volume'],
    ['volume-label', Object.keys(mount.volumeLabels).length > 0, 'volume'],
    ['volume-driver', mount.volumeDriver !== '', 'volume'],
    ['volume-opt', Object.keys(mount.volumeOptions).length > 0, 'volume'],
    ['volume-subpath', mount.volumeSubpath !== '', 'volume'],
    ['volume-affinity', mount.volumeAffinity !== '', 'volume'],
    ['tmpfs-size', mount.tmpfsSizeBytes > 0, 'tmpfs'],
    ['tmpfs-mode', mount.tmpfsMode > 0, 'tmpfs'],
  ]
  for (const [key, given, kind] of foreign) {
    if (given && mount.kind !== kind) {
      throw new Error(`${key} goes with type=${kind} only, not with type=${mount.kind}`)
    }
  }
}
