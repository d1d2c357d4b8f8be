//! Outlines and focus for manifests that come without: both are guessed from the seats.

use super::{MAX_COORDINATE_M, Point};

/// How far a guessed outline stays away from the seats inside it, in metres.
const MARGIN_M: f64 = 0.6;

/// How far in front of the seats the focus of a hall without a stage is assumed, in metres.
const STAGE_DISTANCE_M: f64 = 4.0;

/// A hall is taken for a bowl if nobody sits this close to its centre, in metres: a stage or
/// a boxing ring in the round fits, an aisle doesn't.
const BOWL_CLEAR_RADIUS_M: f32 = 4.0;

/// The points that lie where they may. Others are refused afterwards, at the seats they belong
/// to; an outline or focus made of them would only be refused on top.
fn possible(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().filter(|p| p.x.abs() <= MAX_COORDINATE_M && p.y.abs() <= MAX_COORDINATE_M)
}

/// A convex polygon around `points`, a little larger than they need; empty for no points.
pub(super) fn around(points: &[Point]) -> Vec<Point> {
    let corners = possible(points).map(|p| (f64::from(p.x), f64::from(p.y))).collect();
    let corners: Vec<(f64, f64)> = convex_hull(corners);
    let diagonal = MARGIN_M * std::f64::consts::FRAC_1_SQRT_2;
    let around_a_corner = [
        (MARGIN_M, 0.0),
        (diagonal, diagonal),
        (0.0, MARGIN_M),
        (-diagonal, diagonal),
        (-MARGIN_M, 0.0),
        (-diagonal, -diagonal),
        (0.0, -MARGIN_M),
        (diagonal, -diagonal),
    ];
    let widened = corners
        .iter()
        .flat_map(|(x, y)| around_a_corner.map(|(dx, dy)| (x + dx, y + dy)))
        .collect();
    convex_hull(widened).into_iter().map(|(x, y)| within_limits(x, y)).collect()
}

/// A point beside seats that may themselves lie at the very limit.
fn within_limits(x: f64, y: f64) -> Point {
    let limit = f64::from(MAX_COORDINATE_M);
    Point::to_the_centimetre(x.clamp(-limit, limit), y.clamp(-limit, limit))
}

/// An axis-parallel square of `side_m` metres around `centre`. An impossible centre gives an
/// impossible square, for validation to find.
pub(super) fn square(centre: Point, side_m: f64) -> Vec<Point> {
    if possible(&[centre]).next().is_none() {
        return vec![centre; 4];
    }
    let half = side_m / 2.0;
    let (x, y) = (f64::from(centre.x), f64::from(centre.y));
    [(-half, -half), (half, -half), (half, half), (-half, half)]
        .map(|(dx, dy)| within_limits(x + dx, y + dy))
        .to_vec()
}

/// Where the people on `points` most likely look: the centre if they sit all around it, else
/// a stage above the topmost seats, where plans usually draw it.
pub(super) fn likely_focus(points: &[Point]) -> Point {
    let Some(first) = possible(points).next() else {
        return Point { x: 0.0, y: 0.0 };
    };
    let (mut low, mut high) = (*first, *first);
    for point in possible(points) {
        low = Point { x: low.x.min(point.x), y: low.y.min(point.y) };
        high = Point { x: high.x.max(point.x), y: high.y.max(point.y) };
    }
    let centre = Point { x: f32::midpoint(low.x, high.x), y: f32::midpoint(low.y, high.y) };
    if is_surrounded(centre, points) {
        return centre;
    }
    within_limits(f64::from(centre.x), f64::from(low.y) - STAGE_DISTANCE_M)
}

/// Whether nobody sits at `centre`, and somebody looks at it from each of eight directions.
fn is_surrounded(centre: Point, points: &[Point]) -> bool {
    const DIRECTIONS: f32 = 8.0;
    let mut seen = [false; DIRECTIONS as usize];
    for point in possible(points) {
        let (dx, dy) = (point.x - centre.x, point.y - centre.y);
        if dx.hypot(dy) < BOWL_CLEAR_RADIUS_M {
            return false;
        }
        let turn = dy.atan2(dx) / std::f32::consts::TAU + 0.5;
        // A full turn is direction 0 again.
        seen[(turn * DIRECTIONS) as usize % seen.len()] = true;
    }
    seen.iter().all(|seen| *seen)
}

/// The convex hull by Andrew's monotone chain (Information Processing Letters 9, 1979).
fn convex_hull(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut hull = half_hull(points.iter());
    hull.pop();
    let mut back = half_hull(points.iter().rev());
    back.pop();
    hull.append(&mut back);
    hull
}

/// One side of the hull of sorted points.
fn half_hull<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Vec<(f64, f64)> {
    let mut chain: Vec<(f64, f64)> = Vec::new();
    for &point in points {
        while let [.., a, b] = chain.as_slice() {
            let turn = (b.0 - a.0) * (point.1 - a.1) - (b.1 - a.1) * (point.0 - a.0);
            if turn > 0.0 {
                break;
            }
            chain.pop();
        }
        chain.push(point);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(f32, f32)]) -> Vec<Point> {
        list.iter().map(|&(x, y)| Point { x, y }).collect()
    }

    #[test]
    fn an_outline_encloses_its_points() {
        let seats = points(&[(0.0, 0.0), (4.0, 0.0), (2.0, 1.0), (4.0, 3.0), (0.0, 3.0)]);
        let outline = around(&seats);
        assert!(outline.len() >= 8, "{outline:?}");
        let left = outline.iter().map(|p| p.x).fold(f32::MAX, f32::min);
        let bottom = outline.iter().map(|p| p.y).fold(f32::MIN, f32::max);
        assert!((left + 0.6).abs() < 0.001 && (bottom - 3.6).abs() < 0.001, "{outline:?}");
    }

    #[test]
    fn seats_at_the_limit_have_a_possible_outline_and_focus() {
        let limit = MAX_COORDINATE_M;
        let seats = points(&[(-limit, -limit), (limit, limit), (f32::NAN, 0.0)]);
        let mut made = around(&seats);
        made.extend(square(seats[1], 100.0));
        made.push(likely_focus(&seats));
        assert!(made.len() >= 8 && possible(&made).count() == made.len(), "{made:?}");
        assert_eq!(possible(&square(seats[2], 100.0)).count(), 0);
    }

    #[test]
    fn few_points_have_an_outline_too() {
        assert!(around(&[]).is_empty());
        assert_eq!(around(&points(&[(1.0, 1.0)])).len(), 8);
        assert!(around(&points(&[(1.0, 1.0), (1.0, 1.0)])).len() >= 8);
        assert!(around(&points(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)])).len() >= 8);
    }

    #[test]
    fn the_focus_is_the_stage_of_a_hall_and_the_centre_of_a_bowl() {
        let hall: Vec<Point> =
            (0..100).map(|n| Point { x: (n % 10) as f32, y: (n / 10) as f32 }).collect();
        assert_eq!(likely_focus(&hall), Point { x: 4.5, y: -4.0 });
        let bowl: Vec<Point> = (0..360)
            .map(|degrees| (degrees as f32).to_radians())
            .map(|angle| Point { x: 50.0 * angle.cos(), y: 40.0 * angle.sin() })
            .collect();
        let focus = likely_focus(&bowl);
        assert!(focus.x.abs() < 0.1 && focus.y.abs() < 0.1, "{focus:?}");
        assert_eq!(likely_focus(&[]), Point { x: 0.0, y: 0.0 });
    }
}
