// `volume ls` and `volume inspect`, in docker's layouts.
import { dockerTime, type Json } from '../../proto/docker/json.ts'
import type { VolumeInfo } from '../../proto/gen/tsswarm/v1/volume.ts'
import { isoTime } from './human.ts'
import type { ListView, Row } from './list-format.ts'

export interface VolumeOfNode {
  readonly node: string | undefined
  readonly volume: VolumeInfo
}

const heads = {
  Node: 'NODE',
  Driver: 'DRIVER',
  Name: 'VOLUME NAME',
  Scope: 'SCOPE',
  Mountpoint: 'MOUNTPOINT',
  Labels: 'LABELS',
  CreatedAt: 'CREATED AT',
  Links: 'LINKS',
  Size: 'SIZE',
  Availability: 'AVAILABILITY',
  Group: 'GROUP',
  Status: 'STATUS',
}

export const volumeListView: ListView = {
  heads,
  table: '{{.Driver}}\t{{.Name}}',
  quietField: 'Name',
}

/** Where several nodes are asked. */
export const nodeVolumeListView: ListView = {
  ...volumeListView,
  table: '{{.Node}}\t{{.Driver}}\t{{.Name}}',
}

/** By name, then by node. */
export function volumeRows(volumes: readonly VolumeOfNode[]): readonly Row[] {
  return [...volumes].sort(byName).map(({ node, volume }) => ({
    Node: node ?? '',
    Driver: volume.driver,
    Name: volume.name,
    Scope: 'local',
    Mountpoint: volume.mountpoint,
    Labels: Object.entries(volume.labels)
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(','),
    CreatedAt: isoTime(volume.createdAtMs),
    Links: String(volume.usedBy.length),
    // As docker's for local volumes: it does not measure them either.
    Size: 'N/A',
    Availability: 'N/A',
    Group: 'N/A',
    Status: 'N/A',
  }))
}

function byName(a: VolumeOfNode, b: VolumeOfNode): number {
  if (a.volume.name !== b.volume.name) return a.volume.name < b.volume.name ? -1 : 1
  return (a.node ?? '') < (b.node ?? '') ? -1 : 1
}

/** Docker's Volume; Node and UsedBy are ours. */
export function volumeJson({ node, volume }: VolumeOfNode): Json {
  const { options } = volume
  return {
    CreatedAt: dockerTime(volume.createdAtMs),
    Driver: volume.driver,
    Labels: volume.labels,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    ...(node === undefined ? {} : { Node: node }),
    Options: options,
    Scope: 'local',
    UsedBy: volume.usedBy,
  }
}
