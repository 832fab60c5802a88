// What a user writes of the rights of a service's containers beyond, or below, the usual ones. Source: Docker's --security-opt,
// --privileged and --device, and Privileges of Swarm's ContainerSpec (swarm-semantics 2).
import { z } from 'zod'
import { whySeccompProfile } from './seccomp-profile.ts'
import { text } from './text.ts'

const profileMax = 262_144
const absolute = text.regex(/^\/(?!.*(^|\/)\.\.(\/|$)).+$/, 'must be an absolute path without ".."')

/** A device of the node. */
export const deviceUse = z
  .object({
    source: absolute,
    /** Path in the container. */
    target: absolute,
    access: z.string().regex(/^(?!.*(.).*\1)[rwm]{1,3}$/, 'must be some of r, w and m'),
  })
  .readonly()

export const securitySpec = z
  .object({
    /** `unconfined`, or a profile's JSON. Absent: the default profile. */
    seccomp: z.string().max(profileMax).superRefine(refuseProfile).optional(),
    /** `unconfined`, or the name of a profile that is loaded on the nodes. Absent: none is asked for. */
    appArmor: text.regex(/^[^\s]+$/, 'must be "unconfined" or the name of a profile').optional(),
    /** Nothing of /proc and /sys is masked or read-only. Absent rather than false. */
    systemPathsUnconfined: z.literal(true).optional(),
    /** All capabilities and devices, no filter. Absent rather than false. */
    privileged: z.literal(true).optional(),
    /** Users are those of the node, also where containers usually have others. Absent rather than false. */
    hostUsers: z.literal(true).optional(),
    devices: z.array(deviceUse).max(64).readonly().default([]),
  })
  .readonly()

export type DeviceUse = z.infer<typeof deviceUse>
export type SecuritySpec = z.infer<typeof securitySpec>

export const usualSecurity: SecuritySpec = { devices: [] }

/** Undefined for one that says nothing, so that equal specs are equal. */
export function saidSecurity(spec: SecuritySpec): SecuritySpec | undefined {
  const { seccomp, appArmor, systemPathsUnconfined, privileged, hostUsers, devices } = spec
  const saysAny = [seccomp, appArmor, systemPathsUnconfined, privileged, hostUsers].some(
    (one) => one,
  )
  return saysAny || devices.length > 0 ? spec : undefined
}

/** What of it reaches the node itself, which the cluster must allow; undefined: nothing. */
export function reachOf(
  spec: SecuritySpec | undefined,
): 'privileged' | 'system paths' | 'devices' | undefined {
  if (spec?.privileged === true) return 'privileged'
  // Root in a container writes to /proc/sys by its user number alone, and the kernel's settings are the node's.
  if (spec?.systemPathsUnconfined === true) return 'system paths'
  return (spec?.devices.length ?? 0) > 0 ? 'devices' : undefined
}

function refuseProfile(profile: string, ctx: z.RefinementCtx): void {
  const why = profile === 'unconfined' ? undefined : whySeccompProfile(profile)
  if (why !== undefined) ctx.addIssue({ code: 'custom', message: why })
}
