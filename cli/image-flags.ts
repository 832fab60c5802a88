// What the image commands share: filters, and what to do instead of flags that Docker's have.
import type { ImageFilter } from '../proto/gen/tsswarm/v1/daemon.ts'
import { parseFilters } from './common.ts'
import { usage } from './parse-args.ts'
import { parseTimeMs } from './units.ts'

/** As the daemon takes them. Errors: USAGE. */
export function imageFilters(items: readonly string[], nowMs: number): readonly ImageFilter[] {
  return parseFilters(items).map(({ key, values }) => ({
    key,
    values: key === 'until' ? values.map((value) => `${timeOf(value, nowMs)}`) : values,
  }))
}

/** Errors: USAGE. */
export function timeOf(until: string, nowMs: number): number {
  try {
    return parseTimeMs(until, nowMs)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw usage(`invalid filter 'until=${until}': ${why}`, err)
  }
}

const ofBuilds = 'steps of a build have what the host gives them'

const noAttestations = 'nothing is attested of images here'

const instead: Readonly<Record<string, string>> = {
  platform:
    'a name is that of one image here, of one platform, and builds are for that of the host',
  tree: 'a name is that of one image here, of one platform',
  'disable-content-trust': 'contents are checked by their digests, and signatures are not',
  'no-prune': 'layers that other images have stay, and others are of no use',
  'add-host': 'use --network host, and the hosts file of this host',
  'cache-from': 'steps of earlier builds on this host are used, and none of other images',
  'cgroup-parent': ofBuilds,
  compress: 'the context goes over a local socket',
  'cpu-period': ofBuilds,
  'cpu-quota': ofBuilds,
  'cpu-shares': ofBuilds,
  'cpuset-cpus': ofBuilds,
  'cpuset-mems': ofBuilds,
  memory: ofBuilds,
  'memory-swap': ofBuilds,
  'shm-size': ofBuilds,
  ulimit: ofBuilds,
  'security-opt': ofBuilds,
  isolation: ofBuilds,
  'force-rm': 'nothing of a step is left behind',
  rm: 'nothing of a step is left behind',
  load: 'the image is in the store of this host at once',
  push: 'use "tsswarm image push" when it is built',
  builder: 'builds are done by the daemon of this host',
  'build-context': 'copy it into the folder of the build, or name an image in FROM or COPY --from',
  'cache-to': 'steps stay on this host for later builds',
  'no-cache-filter': 'use --no-cache for all of them',
  'metadata-file': 'use --iidfile for the image ID',
  annotation: 'use --label',
  attest: noAttestations,
  provenance: noAttestations,
  sbom: noAttestations,
  allow: ofBuilds,
  call: 'a build builds',
  check: 'a build builds',
  squash: 'copy from one stage into another to have fewer layers',
  output: 'use "tsswarm image save", or cp out of a container',
  progress: 'output is always plain',
  secret: 'use build arguments for what is no secret, and secrets of the service for what is one',
  ssh: 'copy what is to be cloned into the context',
}

/** What to do instead of a flag that Docker has. */
export function absentImageFlag(name: string): string | undefined {
  return Object.hasOwn(instead, name) ? instead[name] : undefined
}
