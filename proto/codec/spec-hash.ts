// The content address of a task spec.

import { canonicalJson } from '../lib/canonical-json.ts'
import { sha256Hex } from '../lib/digest.ts'
import { type SpecHash, specHash } from '../objects/ids.ts'
import { saysNothing } from '../spec/dns-spec.ts'
import type {
  ContainerSpec,
  MountSpec,
  NetworkUse,
  PortSpec,
  TaskSpec,
} from '../spec/service-spec.ts'

/**
 * 128 bits of SHA-256 over the canonical JSON, as 32 hex digits. Equal specs have equal hashes in every process, also of
 * an earlier version: what was not there from the beginning counts only where it says something.
 */
export function hashTaskSpec(spec: TaskSpec): SpecHash {
  const { networks, ports, container, dependsOn, dns, oomScoreAdj, ...rest } = spec
  const said = {
    ...(networks.length === 0 ? {} : { networks: networks.map(saidOfNetwork) }),
    ...(dependsOn.length === 0 ? {} : { dependsOn }),
    ...(saysNothing(dns) ? {} : { dns }),
    ...(oomScoreAdj === 0 ? {} : { oomScoreAdj }),
    container: saidOfContainer(container),
  }
  const hashed = { ...rest, ...said, ports: ports.map(saidOfPort) }
  return specHash(sha256Hex(canonicalJson(hashed)).slice(0, 32))
}

function saidOfContainer(spec: ContainerSpec): object {
  const { secrets, configs, mounts, openStdin, ...container } = spec
  return {
    ...container,
    mounts: mounts.map(saidOfMount),
    ...(secrets.length === 0 ? {} : { secrets }),
    ...(configs.length === 0 ? {} : { configs }),
    ...(openStdin ? { openStdin } : {}),
  }
}

function saidOfNetwork({ driverOptions, ...use }: NetworkUse): object {
  return Object.keys(driverOptions).length === 0 ? use : { ...use, driverOptions }
}

function saidOfPort(spec: PortSpec): object {
  const { sources, isMasqueraded, isLocalFirst, isFirewallFirst, ...port } = spec
  return {
    ...port,
    ...(sources.length === 0 ? {} : { sources }),
    ...(isMasqueraded ? { isMasqueraded } : {}),
    ...(isLocalFirst ? { isLocalFirst } : {}),
    ...(isFirewallFirst ? { isFirewallFirst } : {}),
  }
}

function saidOfMount(spec: MountSpec): object {
  const { bindNonRecursive, readOnlyNonRecursive, readOnlyForceRecursive, ...others } = spec
  const { volumeLabels, volumeDriver, volumeOptions, volumeSubpath, volumeAffinity, ...more } =
    others
  const { consistency, ...mount } = more
  return {
    ...mount,
    ...(consistency === '' ? {} : { consistency }),
    ...(bindNonRecursive ? { bindNonRecursive } : {}),
    ...(readOnlyNonRecursive ? { readOnlyNonRecursive } : {}),
    ...(readOnlyForceRecursive ? { readOnlyForceRecursive } : {}),
    ...(Object.keys(volumeLabels).length === 0 ? {} : { volumeLabels }),
    ...(volumeDriver === '' ? {} : { volumeDriver }),
    ...(Object.keys(volumeOptions).length === 0 ? {} : { volumeOptions }),
    ...(volumeSubpath === '' ? {} : { volumeSubpath }),
    ...(volumeAffinity === '' ? {} : { volumeAffinity }),
  }
}
