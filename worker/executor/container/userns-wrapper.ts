// conmon's first program for containers with a user namespace: as the usual one (oci-runtime.ts), and before the runtime makes the
// namespace it does what only root of the host can. The image's layers and the volumes are mounted once more with their owners
// shifted, so that layers are shared with all other containers and a volume has the same owners on disk with and without.
import { chmod, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { SpawnHelper } from '../spawn/spawn-helper.ts'
import type { IdMapping } from './id-mapping.ts'
import { mapper, mapperVariables, trialWords, usernsRemedy, usernsTrial } from './shifted-mounts.ts'
import type { UsernsCreation } from './user-namespace.ts'

// The runtime makes the container the owner of its standard streams, also of the host's /dev/null where one of them is that
// (crun 1.8): it gets another one. And to raise limits or lower the OOM score takes root of the host.
const wrapper = `#!/bin/sh
cd "$TSSWARM_PLACE" && mount -t tmpfs -o mode=0711,nosuid,noexec,size=1m tmpfs . || exit 1
cd "$TSSWARM_PLACE" && mknod -m 0666 null c 1 3 || exit 1
[ ! -c /proc/$$/fd/0 ] || exec 0<>null
[ ! -c /proc/$$/fd/1 ] || exec 1>null
[ ! -c /proc/$$/fd/2 ] || exec 2>null
perl "$0.pl" || exit 1
for limit in $TSSWARM_LIMITS; do prlimit --pid $$ "$limit" 2>null || :; done
echo "$TSSWARM_OOM" >/proc/$$/oom_score_adj 2>null || :
cd layers || exit 1
mount -t overlay -o "$TSSWARM_OVERLAY" overlay "$TSSWARM_ROOTFS" || exit 1
cd / && exec "$TSSWARM_RUNTIME" "$@"
`

/** Writes both programs. */
export async function writeUsernsWrapper(path: string): Promise<void> {
  await writeFile(path, wrapper)
  await writeFile(`${path}.pl`, mapper)
  await chmod(path, 0o755)
}

/** Its variables, besides those of the usual wrapper. */
export function usernsVariables(
  { mapping, volumes, limits, oomScoreAdj }: UsernsCreation,
  placeDir: string,
): Readonly<Record<string, string>> {
  return {
    ...mapperVariables(mapping),
    TSSWARM_PLACE: placeDir,
    TSSWARM_LIMITS: limits.join(' '),
    TSSWARM_OOM: `${oomScoreAdj}`,
    TSSWARM_VOLUMES: `${volumes.length}`,
    ...Object.fromEntries(volumes.map((path, at) => [`TSSWARM_VOLUME_${at}`, path])),
  }
}

const trialMs = 30_000

/** Errors: HOST_UNFIT with the reason and the remedy. */
export async function tryUserns(
  helper: Pick<SpawnHelper, 'spawn'>,
  mapping: IdMapping,
  folder: string,
): Promise<void> {
  const { code, stderr } = await helper.spawn(usernsTrial(folder, mapping), { timeoutMs: trialMs })
  if (code === 0) return
  throw new SwarmError(
    'HOST_UNFIT',
    `usernsRemap is set, and this host cannot do it: ${trialWords(stderr)}; ${usernsRemedy}; or set usernsRemap to off`,
  )
}
