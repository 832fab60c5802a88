// The filters of `volume ls`: values of one key are alternatives, keys must all hold.
import type { Filter } from '../proto/gen/tsswarm/v1/control.ts'
import type { VolumeInfo } from '../proto/gen/tsswarm/v1/volume.ts'
import { usage } from './parse-args.ts'

type Test = (volume: VolumeInfo, value: string) => boolean

const tests: Readonly<Record<string, Test>> = {
  dangling: (volume, value) => (volume.usedBy.length === 0) === isTrue(value),
  driver: (volume, value) => volume.driver === value,
  label: ({ labels }, value) => {
    const at = value.indexOf('=')
    if (at === -1) return Object.hasOwn(labels, value)
    return labels[value.slice(0, at)] === value.slice(at + 1)
  },
  name: (volume, value) => volume.name.includes(value),
}

/** Errors: USAGE for a key or value that is not known. */
export function volumeFilter(filters: readonly Filter[]): (volume: VolumeInfo) => boolean {
  for (const { key, values } of filters) {
    if (!Object.hasOwn(tests, key)) {
      throw usage(`invalid filter '${key}': the filters are ${Object.keys(tests).join(', ')}`)
    }
    if (key === 'dangling') values.forEach(isTrue)
  }
  return (volume) =>
    filters.every(({ key, values }) => values.some((value) => tests[key]?.(volume, value) === true))
}

function isTrue(value: string): boolean {
  if (value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw usage(`invalid filter 'dangling=${value}': it is true or false`)
}
