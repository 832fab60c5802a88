// Parts of volumes (volume-subpath). A path into a volume is looked up while other containers may write there: one that puts a link to
// somewhere else in its place would have that mounted instead. So what was mounted is compared, before anything runs in the container.
import { SwarmError } from '../../../proto/errors.ts'
import { identityInRoot } from '../../../proto/lib/rooted-files.ts'

export interface VolumePart {
  readonly volume: string
  readonly subpath: string
  /** In the container. */
  readonly target: string
  /** Of what the path led to, within the volume. */
  readonly identity: string
}

/** Of the folder of the volume. Errors: RootedError when the path leads nowhere. */
export async function volumePart(
  dir: string,
  part: Omit<VolumePart, 'identity'>,
): Promise<VolumePart> {
  return { ...part, identity: await identityInRoot(dir, part.subpath) }
}

/** `pid`: of the container that was made and not started. Errors: FAILED_PRECONDITION when another thing is mounted. */
export async function checkParts(pid: number, parts: readonly VolumePart[]): Promise<void> {
  for (const { volume, subpath, target, identity } of parts) {
    const mounted = await identityInRoot(`/proc/${pid}/root`, target).catch(() => '')
    if (mounted === identity) continue
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `volume ${volume}: ${subpath} was replaced while a container with it was made: nothing of it was started`,
    )
  }
}
