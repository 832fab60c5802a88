// `image ls`.
import type { ImageInfo } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { ago, decimalSize, goTime } from './human.ts'
import { familiarImage } from './image-name.ts'
import type { ListView, Row } from './list-format.ts'

export const imageListView: ListView = {
  heads: {
    Repository: 'REPOSITORY',
    Tag: 'TAG',
    Digest: 'DIGEST',
    ID: 'IMAGE ID',
    CreatedSince: 'CREATED',
    CreatedAt: 'CREATED AT',
    Size: 'SIZE',
    VirtualSize: 'SIZE',
    SharedSize: 'SHARED SIZE',
    UniqueSize: 'UNIQUE SIZE',
    Containers: 'CONTAINERS',
  },
  table: '{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}',
  quietField: 'ID',
}

export interface ImageListOptions {
  readonly nowMs: number
  readonly truncate: boolean
}

/** One row a name; an image without a tag has one for each repository, or one with `<none>`. Newest first. */
export function imageRows(images: readonly ImageInfo[], options: ImageListOptions): readonly Row[] {
  return [...images]
    .sort((a, b) => b.createdAtMs - a.createdAtMs)
    .flatMap((image) => {
      const names = image.names.length > 0 ? image.names : image.digests
      return (names.length > 0 ? names : ['']).map((name) => imageRow(image, name, options))
    })
}

function imageRow(image: ImageInfo, name: string, options: ImageListOptions): Row {
  const { repository, tag } = splitName(familiarImage(name, false))
  return {
    Repository: repository,
    Tag: tag,
    Digest: image.digests[0]?.replace(/^.*@/, '') ?? '<none>',
    ID: options.truncate ? image.id.replace(/^sha256:/, '').slice(0, 12) : image.id,
    CreatedSince: image.createdAtMs === 0 ? 'N/A' : ago(image.createdAtMs, options.nowMs),
    CreatedAt: goTime(image.createdAtMs),
    Size: decimalSize(image.sizeBytes),
    VirtualSize: decimalSize(image.sizeBytes),
    // As docker where it was not asked to count.
    ...{ SharedSize: 'N/A', UniqueSize: 'N/A', Containers: 'N/A' },
  }
}

function splitName(name: string): { readonly repository: string; readonly tag: string } {
  const [plain = ''] = name.split('@')
  const colon = plain.lastIndexOf(':')
  if (plain === '') return { repository: '<none>', tag: '<none>' }
  if (colon === -1 || plain.indexOf('/', colon) !== -1) return { repository: plain, tag: '<none>' }
  return { repository: plain.slice(0, colon), tag: plain.slice(colon + 1) }
}
