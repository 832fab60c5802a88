// Platforms as users write them, and which image of a list is taken for one.
import t from 'tap'
import {
  isFor,
  ownPlatform,
  parsePlatform,
  platformEntry,
  platformText,
} from '../../../../worker/image/platform.ts'

const own = { os: 'linux', architecture: 'amd64' }

t.test('a platform is of Linux, by the names that images have', async (t) => {
  const read = (text: string): string => platformText(parsePlatform(text, own))
  for (const [text, platform] of [
    ['linux', 'linux/amd64'],
    ['arm64', 'linux/arm64'],
    ['aarch64', 'linux/arm64'],
    ['armhf', 'linux/arm/v7'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/arm/v7', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['Linux/ARM64', 'linux/arm64'],
  ] as const) {
    t.equal(read(text), platform, text)
  }
  for (const text of ['', 'windows/amd64', 'linux/', 'linux/arm/v7/x', '/amd64', 'linux//v7']) {
    t.throws(() => parsePlatform(text, own), {
      code: 'INVALID_ARGUMENT',
      message: /^platform ".*" is not for images of this host: it must be linux/,
    })
  }
  t.same(ownPlatform('x64'), own)
  t.same(ownPlatform('arm'), { os: 'linux', architecture: 'arm' })
})

t.test('of a list the image is taken that the platform runs best', async (t) => {
  const entry = (text: string) => {
    const [os = '', architecture = '', variant] = text.split('/')
    return { os, architecture, ...(variant === undefined ? {} : { variant }), text }
  }
  const all = [
    ...['windows/amd64', 'linux/arm/v5', 'linux/arm/v7', 'linux/arm/v6', 'linux/amd64/v3'],
    ...['linux/amd64', 'linux/arm64/v8', 'linux/386', 'linux/mips64le'],
  ].map(entry)
  const taken = (wanted: string, from = all) =>
    platformEntry(from, parsePlatform(wanted, own))?.text
  t.equal(taken('linux/amd64'), 'linux/amd64')
  t.equal(taken('linux/amd64/v4'), 'linux/amd64/v3')
  t.equal(taken('linux/arm64'), 'linux/arm64/v8')
  t.equal(taken('linux/arm64/v9'), 'linux/arm64/v8')
  t.equal(taken('linux/arm'), 'linux/arm/v7')
  t.equal(taken('linux/arm/v6'), 'linux/arm/v6')
  t.equal(taken('linux/arm/v8'), 'linux/arm/v7')
  t.equal(taken('linux/s390x'), undefined)
  t.equal(taken('linux/mips64le/softfloat'), undefined)
  t.equal(taken('linux/arm/v5', [entry('linux/arm/v6')]), undefined)
  t.equal(taken('linux/arm/v6', [entry('linux/arm')]), 'linux/arm')
  t.equal(taken('linux/amd64', [entry('linux/amd64/v2')]), 'linux/amd64/v2', 'the only one')
})

t.test('an image of one platform is for another or not', async (t) => {
  t.equal(
    isFor({ os: 'linux', architecture: 'arm64', variant: 'v8' }, parsePlatform('arm64')),
    true,
  )
  t.equal(isFor({ os: 'linux', architecture: 'amd64' }, parsePlatform('arm64')), false)
})
