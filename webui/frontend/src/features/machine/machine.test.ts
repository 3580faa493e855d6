import { expect, test } from 'vitest'
import { isAddress, isNetwork, listed } from './addresses'

test.each(['10.0.0.7', '255.255.255.255', 'fd00::7', ' 192.0.2.1 '])('%s is an address', (text) => expect(isAddress(text)).toBe(true))

test.each(['', '10.0.0', '10.0.0.256', '10.0.0.7/24', 'hako.local', 'fd00', '10.0.0.7 10.0.0.8'])('%s is none', (text) => expect(isAddress(text)).toBe(false))

test.each(['10.0.0.7/24', 'fd00::7/64', '10.0.0.7/32'])('%s says its network', (text) => expect(isNetwork(text)).toBe(true))

test.each(['10.0.0.7', '10.0.0.7/', '10.0.0.7/33', '10.0.0.7/0', 'fd00::7/129', '10.0.0.7/24/1', '10.0.0.7/255.255.255.0'])('%s does not', (text) => expect(isNetwork(text)).toBe(false))

test('several are told apart however they are written', () => {
  expect(listed(' 10.0.0.2、10.0.0.3, fd00::1 ')).toEqual(['10.0.0.2', '10.0.0.3', 'fd00::1'])
  expect(listed('')).toEqual([])
})
