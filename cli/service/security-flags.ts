// --security-opt, --privileged and --device: what containers may do beyond, or not do within, the usual.
import { readFileSync } from 'node:fs'
import {
  type DeviceUse,
  type SecuritySpec,
  saidSecurity,
  usualSecurity,
} from '../../proto/spec/security-spec.ts'
import type { ContainerSpec } from '../../proto/spec/service-spec.ts'
import { choice, type FlagValues, list, triBool } from '../flags.ts'
import { read } from '../read-flag.ts'
import { changeKeyed } from './assignments.ts'

export const securityFlags = {
  privileged: triBool(
    'Give all rights and devices of the node (needs "swarm update --allow-privileged")',
  ),
  'security-opt': list(
    'Security options (seccomp=unconfined|FILE, apparmor=PROFILE, systempaths=unconfined, no-new-privileges)',
    {
      takes: 'opt',
      completes: [
        ...['seccomp=', 'seccomp=unconfined', 'apparmor=', 'apparmor=unconfined'],
        ...['systempaths=unconfined', 'no-new-privileges'],
      ],
    },
  ),
  userns: choice(
    'User namespace of the containers (host: users are those of the node; private: as the node has it)',
    ['host', 'private'],
  ),
}

const deviceWords =
  'Add a device of the node (PATH[:PATH[:rwm]]; needs "swarm update --allow-privileged")'

export const newDeviceFlags = { device: list(deviceWords, { takes: 'device' }) }

export const changeDeviceFlags = {
  'device-add': list(deviceWords, { takes: 'device' }),
  'device-rm': list('Remove a device by its path in the container'),
}

type Rights = Pick<ContainerSpec, 'security' | 'noNewPrivileges'>
type SecurityFlags = FlagValues<typeof securityFlags> & {
  readonly 'no-new-privileges': boolean | undefined
}

/** Those of a new service. Errors: USAGE. */
export function newRights(
  flags: SecurityFlags & FlagValues<typeof newDeviceFlags>,
): Partial<Rights> {
  const devices = { removed: [], added: readDevices('device', flags.device) }
  return changed({}, flags, devices)
}

/** The present ones with what flags say; an option that is not given stays. Errors: USAGE. */
export function changedRights(
  present: Partial<Rights>,
  flags: SecurityFlags & FlagValues<typeof changeDeviceFlags>,
): Partial<Rights> {
  const added = readDevices('device-add', flags['device-add'])
  return changed(present, flags, { removed: flags['device-rm'], added })
}

function changed(
  present: Partial<Rights>,
  flags: SecurityFlags,
  devices: { readonly removed: readonly string[]; readonly added: readonly DeviceUse[] },
): Partial<Rights> {
  const given = read('security-opt', () => readSecurityOptions(flags['security-opt'], readProfile))
  const { privileged: was, hostUsers: had, ...before } = present.security ?? usualSecurity
  const hostUsers = flags.userns === undefined ? had : flags.userns === 'host'
  const privileged = flags.privileged ?? was
  const security = saidSecurity({
    ...withOptions(before, given),
    ...(privileged === true ? { privileged } : {}),
    ...(hostUsers === true ? { hostUsers } : {}),
    devices: changeKeyed(before.devices, devices, ({ target }) => target),
  })
  const noNewPrivileges =
    flags['no-new-privileges'] ?? given.noNewPrivileges ?? present.noNewPrivileges
  return {
    ...(security === undefined ? {} : { security }),
    ...(noNewPrivileges === true ? { noNewPrivileges } : {}),
  }
}

/** What options say; empty: back to the usual. */
export interface SecurityOptions {
  readonly seccomp?: string
  readonly appArmor?: string
  readonly systemPaths?: string
  readonly noNewPrivileges?: boolean
}

/** The rights with what options say of them. */
export function withOptions(before: SecuritySpec, given: SecurityOptions): SecuritySpec {
  const { seccomp, appArmor, systemPathsUnconfined, ...rest } = before
  const filter = given.seccomp ?? seccomp ?? ''
  const profile = given.appArmor ?? appArmor ?? ''
  const open = given.systemPaths === undefined ? systemPathsUnconfined : given.systemPaths !== ''
  return {
    ...rest,
    ...(filter === '' ? {} : { seccomp: filter }),
    ...(profile === '' ? {} : { appArmor: profile }),
    ...(open === true ? { systemPathsUnconfined: open } : {}),
  }
}

/** `KEY=VALUE`, or with a colon, as Docker still takes it. `profileOf`: the text of a file. Errors: Error. */
export function readSecurityOptions(
  options: readonly string[],
  profileOf: (path: string) => string,
): SecurityOptions {
  return Object.assign({}, ...options.map((option) => readOption(option, profileOf)))
}

function readOption(option: string, profileOf: (path: string) => string): SecurityOptions {
  const [, key = '', value = ''] = /^([^=:]+)(?:[=:](.*))?$/s.exec(option) ?? []
  const usual = value === 'default' ? '' : value
  switch (key) {
    case 'no-new-privileges':
      if (!['', 'true', 'false'].includes(value))
        throw new Error(`"${option}" must be true or false`)
      return { noNewPrivileges: value !== 'false' }
    case 'seccomp':
      if (value === '') throw new Error('seccomp needs "unconfined", "default" or a file')
      return { seccomp: ['', 'unconfined'].includes(usual) ? usual : profileOf(value) }
    case 'apparmor':
      if (value === '') throw new Error('apparmor needs "unconfined", "default" or a profile')
      return { appArmor: usual }
    case 'systempaths':
      if (!['unconfined', 'default'].includes(value)) {
        throw new Error(`"${option}" must be systempaths=unconfined or systempaths=default`)
      }
      return { systemPaths: usual }
    case 'label':
      throw new Error('label is of SELinux, which tsswarm does not set: leave it out')
    default:
      throw new Error(
        `"${option}" is none of seccomp=, apparmor=, systempaths= and no-new-privileges`,
      )
  }
}

/** Its JSON in the shortest form: it is stored with the service. Errors: Error. */
export function readProfile(path: string): string {
  try {
    return JSON.stringify(JSON.parse(readFileSync(path, 'utf8')))
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw new Error(`cannot read the seccomp profile ${path}: ${why}`)
  }
}

function readDevices(flag: string, devices: readonly string[]): readonly DeviceUse[] {
  return devices.map((device) => read(flag, () => parseDevice(device), device))
}

/** `/dev/a[:/dev/b[:rwm]]`. Errors: Error. */
export function parseDevice(text: string): DeviceUse {
  const match = /^(\/[^:]+)(?::(\/[^:]+))?(?::([rwm]+))?$/.exec(text)
  const [, source = '', target = source, access = 'rwm'] = match ?? []
  if (match !== null) return { source, target, access }
  throw new Error('must be PATH[:PATH IN THE CONTAINER[:rwm]], such as /dev/fuse:/dev/fuse:rw')
}
