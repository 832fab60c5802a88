// What was sent of layers, from looks at the files that they are sent from.
import t from 'tap'
import { SentBytes } from '../../../../worker/image/sending.ts'

const file = (inode: number, sizeBytes: number, position: number) => ({
  inode,
  sizeBytes,
  position,
})

t.test('a layer counts from when it is read, and whole when its file is closed', async (t) => {
  const sent = new SentBytes()
  t.equal(sent.note([]), 0)
  t.equal(sent.note([file(1, 40, 40)]), 0, 'it is being written')
  t.equal(sent.note([file(1, 60, 65)]), 0, 'it grew between size and position')
  t.equal(sent.note([file(1, 100, 30), file(2, 10, 10)]), 30)
  t.equal(sent.note([file(1, 100, 100), file(2, 50, 20)]), 120, 'all of it is on its way')
  t.equal(sent.note([file(2, 50, 50)]), 150)
  t.equal(sent.note([file(3, 7, 7)]), 150)
  t.equal(sent.note([]), 157, 'too fast to be seen')
})

t.test('what was sent never becomes less', async (t) => {
  const sent = new SentBytes()
  sent.note([file(1, 100, 60)])
  t.equal(sent.note([file(1, 100, 10)]), 60, 'it is sent once more')
  t.equal(sent.note([file(1, 100, 80)]), 80)
})
