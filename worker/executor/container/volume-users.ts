// Which containers use which volumes. Pure.
import type { VolumeUser } from '../../volume/volume-store.ts'
import type { Mount } from '../executor.ts'
import type { Container } from './container.ts'
import type { ContainerRecord } from './record.ts'

type Kept = Pick<Container, 'id'> & {
  readonly record: Pick<ContainerRecord, 'config' | 'anonymousVolumes' | 'exit'>
}

/** Names of the volumes that a container has, its own ones last. */
export function volumesOf({ config, anonymousVolumes }: Kept['record']): readonly string[] {
  return [...config.mounts.flatMap(volumeName), ...anonymousVolumes]
}

/** Also those that have ended, until they are removed. */
export function volumeUsers(containers: Iterable<Kept>, volume: string): readonly VolumeUser[] {
  const users: VolumeUser[] = []
  for (const { id, record } of containers) {
    if (!volumesOf(record).includes(volume)) continue
    users.push({ containerId: id, name: record.config.name, isLive: record.exit === undefined })
  }
  return users
}

function volumeName(mount: Mount): readonly string[] {
  return mount.kind === 'volume' && mount.name !== undefined ? [mount.name] : []
}
