// `image inspect`: an image in Docker's JSON.
import type { Json } from '../../proto/docker/json.ts'
import type { InspectImageResponse } from '../../proto/gen/tsswarm/v1/image.ts'
import { parseImageJson } from './image-config.ts'

/** Source: Docker's API 1.44, ImageInspect. Errors: DATA_LOSS. */
export function imageJson(image: InspectImageResponse): Json {
  const config = parseImageJson(image.config, image.id)
  const { variant } = config
  return {
    Id: image.id,
    RepoTags: image.names,
    RepoDigests: image.digests,
    Parent: '',
    Comment: config.comment ?? '',
    Created: config.created ?? '',
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: config.config ?? {},
    Architecture: config.architecture ?? '',
    ...(variant === undefined ? {} : { Variant: variant }),
    Os: config.os ?? '',
    Size: image.sizeBytes,
    GraphDriver: { Data: layerFolders(image), Name: 'overlay' },
    RootFS: { Type: 'layers', Layers: config.rootfs?.diff_ids ?? [] },
  }
}

function layerFolders({ layers }: InspectImageResponse): Json {
  const [top, ...lower] = layers.map(({ dir }) => dir).toReversed()
  if (top === undefined) return {}
  return lower.length === 0 ? { UpperDir: top } : { LowerDir: lower.join(':'), UpperDir: top }
}
